# Blocks are copied into the archive, not coded again; then the archive is decoded.
rule gather:
    input:
        parts="<results>/parts/{sample}",
        blocks=plan.blocks,
        model=plan.model,
    output:
        archive=temp(directory("<results>/unpublished/{sample}")),
    log:
        "<logs>/gather/{sample}.log",
    benchmark:
        "<benchmarks>/gather/{sample}.tsv"
    wildcard_constraints:
        sample=NAME,
    retries: plan.retries
    threads: plan.decoding.threads
    resources:
        **plan.decoding.resources,
    params:
        files=plan.source_files,
        plan=plan.plan_file,
        blocks=plan.blocks_directory,
        jobs=plan.block_count,
        model=plan.model_option,
        embed=plan.embed_option,
    shell:
        "geneformer-rules gather {params.files} --name {wildcards.sample} --parts {input.parts:q}"
        " --plan {params.plan:q} --blocks {params.blocks:q} --jobs {params.jobs} -o {output.archive:q} {params.model}"
        " {params.embed} --threads {threads} --device {resources.device} > {log:q} 2>&1"
