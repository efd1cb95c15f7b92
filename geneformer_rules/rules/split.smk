# Larger samples are split. How many parts there are is known once the text has been read, hence a checkpoint. The plan is
# kept beside the parts, which are temporary. What takes less than a minute is not sent to a cluster.
for RULE, SAMPLES, LOCAL in (("split", plan.split_in_jobs, False), ("split_local", plan.split_locally, True)):

    checkpoint:
        name:
            RULE
        input:
            sample=plan.inputs.split_sources,
        output:
            parts=temp(directory("<results>/parts/{sample}")),
            plan="<results>/plans/{sample}.json",
        log:
            "<logs>/split/{sample}.log",
        benchmark:
            "<benchmarks>/split/{sample}.tsv"
        wildcard_constraints:
            sample=SAMPLES,
        retries: plan.retries
        localrule: LOCAL
        resources:
            **plan.needs.splitting,
            # not parameters, or Snakemake would make every archive again when they are changed
            part_bases=plan.config["part_bases"],
            order=plan.options.order,
        params:
            source=plan.options.source,
            fetched=plan.options.fetched,
            species=plan.options.species,
            level=plan.config["level"],
        shell:
            "geneformer-rules split {params.source} {params.fetched} -o {output.parts:q} --plan {output.plan:q}"
            " --name {wildcards.sample} {params.species} --level {params.level}"
            " --part-bases {resources.part_bases} --order {resources.order} --threads {threads} > {log:q} 2>&1"
