# Samples that fit into one job, and runs, are archived whole. A job has as many samples as make up one; those that fail
# leave an error for `publish`. A job with a run downloads it, archives it, verifies the archive and deletes the download,
# so that the resource bounds how many runs are on the disk.
resource_scopes:
    sra_downloads="global",


rule archive:
    input:
        samples=plan.archive_sources,
        model=plan.model,
    output:
        archives=temp(directory("<results>/unpublished/{batch}")),
    log:
        "<logs>/archive/{batch}.log",
    benchmark:
        "<benchmarks>/archive/{batch}.tsv"
    wildcard_constraints:
        batch=BATCH,
    retries: plan.retries
    conda:
        plan.environment
    threads: plan.archiving.threads
    resources:
        **plan.archiving.resources,
        # not parameters, or Snakemake would make every archive again when they are changed
        part_bases=plan.config["part_bases"],
        access=plan.config["access"],
        sra_downloads=plan.downloads,
    params:
        samples=plan.sample_options,
        species=plan.species_option,
        fetch=plan.fetch_options,
        model=plan.model_option,
        embed=plan.embed_option,
        level=plan.config["level"],
    shell:
        "geneformer-rules archive {params.samples} -o {output.archives:q} {params.species} {params.fetch}"
        " {params.model} {params.embed} --level {params.level} --part-bases {resources.part_bases}"
        " --access {resources.access}"
        " --threads {threads} --device {resources.device} > {log:q} 2>&1"
