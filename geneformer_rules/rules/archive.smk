# Samples that fit into one job are archived whole. A job has as many samples as make up one; those that fail leave an
# error for `publish`.
rule archive:
    input:
        samples=plan.inputs.archive_sources,
        model=plan.inputs.model,
    output:
        archives=temp(directory("<results>/unpublished/{batch}")),
    log:
        "<logs>/archive/{batch}.log",
    benchmark:
        "<benchmarks>/archive/{batch}.tsv"
    wildcard_constraints:
        batch=BATCH,
    retries: plan.retries
    threads: plan.needs.archiving.threads
    resources:
        **plan.needs.archiving.resources,
        # not parameters, or Snakemake would make every archive again when they are changed
        part_bases=plan.config["part_bases"],
        access=plan.config["access"],
        order=plan.options.order,
    params:
        samples=plan.options.samples,
        species=plan.options.species,
        fetched=plan.options.fetched,
        model=plan.options.model,
        embed=plan.options.embed,
        level=plan.config["level"],
    shell:
        "geneformer-rules archive {params.samples} -o {output.archives:q} {params.species} {params.fetched}"
        " {params.model} {params.embed} --level {params.level} --part-bases {resources.part_bases}"
        " --access {resources.access} --order {resources.order}"
        " --threads {threads} --device {resources.device} > {log:q} 2>&1"
