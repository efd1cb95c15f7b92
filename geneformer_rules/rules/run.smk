# Accessions. One job fetches a run, archives it, proves the archive and deletes what it has fetched, so the resource
# bounds what is on the disk: between the jobs of a chain, more and more runs would wait for their turn. A job that was
# killed leaves what it has fetched, and goes on with it.
resource_scopes:
    sra_downloads="global",


if "sra_downloads" not in workflow.global_resources:
    workflow.register_resource("sra_downloads", SETTINGS["sra"]["downloads"])


rule archive_run:
    input:
        model=run_model,
    output:
        archive=update("<results>/archives/{sample}.gfz"),
        report=update("<results>/verified/{sample}.json"),
    log:
        "<logs>/archive_run/{sample}.log",
    benchmark:
        "<benchmarks>/archive_run/{sample}.tsv"
    wildcard_constraints:
        sample=FETCHED,
    retries: RETRIES
    conda:
        "../envs/sra.yaml"
    threads: SETTINGS["threads"]["compress"]
    resources:
        **GPU_JOB,
        sra_downloads=1,
        part_bases=SETTINGS["part_bases"],
        mem_mb=run_memory_mb,
        runtime=run_minutes,
        device=device,
    params:
        accession=accession,
        directory=SETTINGS["sra"]["directory"] or f"{RESULTS}/downloads",
        options=run_options,
        species=species_option,
        model=model_option,
        level=SETTINGS["level"],
        embed="--embed" if SETTINGS["embed_model"] else "",
    shell:
        "geneformer-rules archive-run {params.accession} -o {output.archive:q} --report {output.report:q}"
        " --downloads {params.directory:q} {params.options} {params.species} {params.model} {params.embed} --level {params.level}"
        " --part-bases {resources.part_bases} --threads {threads} --device {resources.device} > {log:q} 2>&1"
