# Samples that fit into one job are archived whole, as many in a job as make up one: no split, no checkpoint, one start
# and one load of the model for all of them. What goes wrong with one does not stop the others.
rule archive_batch:
    input:
        samples=batch_sources,
        model=model,
    output:
        archives=temp(directory("<results>/batches/{batch}")),
    log:
        "<logs>/archive_batch/{batch}.log",
    benchmark:
        "<benchmarks>/archive_batch/{batch}.tsv"
    wildcard_constraints:
        batch=BATCH,
    retries: RETRIES
    conda:
        "../envs/gfz.yaml"
    threads: batch_threads
    resources:
        **GPU_JOB,
        part_bases=SETTINGS["part_bases"],
        mem_mb=batch_memory_mb,
        runtime=batch_minutes,
        device=device,
    params:
        samples=batch_samples,
        species=species_option,
        model=model_option,
        level=SETTINGS["level"],
        embed="--embed" if SETTINGS["embed_model"] else "",
    shell:
        "geneformer-rules archive-batch {params.samples} -o {output.archives:q} {params.species} {params.model}"
        " {params.embed} --level {params.level} --part-bases {resources.part_bases} --threads {threads} --device {resources.device}"
        " > {log:q} 2>&1"


# As `verify`, but what comes from a batch has been decoded there. An old archive stays in its place until it is replaced.
rule publish:
    input:
        archives=batch,
        sample=source,
        model=model,
    output:
        archive=update("<results>/archives/{sample}.gfz"),
        report=update("<results>/verified/{sample}.json"),
    log:
        "<logs>/verify/{sample}.log",
    wildcard_constraints:
        sample=WHOLE,
    retries: RETRIES
    localrule: True
    conda:
        "../envs/gfz.yaml"
    params:
        files=source_files,
        model=model_option,
        leftovers=leftovers,
    shell:
        "rm -f {params.leftovers};"
        " ( if [ -e {input.archives:q}/{wildcards.sample}.error ]; then"
        " cat {input.archives:q}/{wildcards.sample}.error; exit 1; fi;"
        " geneformer-rules publish {input.archives:q}/{wildcards.sample}.gfz --source {params.files} {params.model}"
        " --records {input.archives:q}/made_of.json -o {output.archive:q} --report {output.report:q} ) > {log:q} 2>&1"
