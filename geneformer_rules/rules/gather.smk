# Blocks, each decoded and compared with its part before, are copied into the archive; digests show that together
# they are the sample. What takes less than a minute is not sent to a cluster.
rule gather:
    input:
        parts="<results>/parts/{sample}",
        blocks=plan.inputs.blocks,
        model=plan.inputs.model,
    output:
        archive=temp(directory("<results>/unpublished/{sample}")),
    log:
        "<logs>/gather/{sample}.log",
    benchmark:
        "<benchmarks>/gather/{sample}.tsv"
    wildcard_constraints:
        sample=plan.gathered_in_jobs,
    retries: plan.retries
    resources:
        **plan.needs.gathering,
    params:
        source=plan.options.source,
        fetched=plan.options.fetched,
        plan=plan.options.plan,
        blocks=plan.options.blocks,
        jobs=plan.options.block_count,
        model=plan.options.model,
        embed=plan.options.embed,
    shell:
        "geneformer-rules gather {params.source} {params.fetched} --name {wildcards.sample} --parts {input.parts:q}"
        " --plan {params.plan:q} --blocks {params.blocks:q} --jobs {params.jobs} -o {output.archive:q} {params.model}"
        " {params.embed} > {log:q} 2>&1"


use rule gather as gather_local with:
    wildcard_constraints:
        sample=plan.split_locally,
    localrule: True
