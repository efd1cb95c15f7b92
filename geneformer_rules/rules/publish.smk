# The only rule that publishes. An old archive stays in its place until it is replaced. The model that archives refer to is
# kept beside them.
rule publish:
    input:
        unpublished=plan.unpublished,
        sample=plan.sources,
        model=plan.model,
    output:
        archive=update("<results>/archives/{sample}.gfz"),
        report=update("<results>/reports/{sample}.json"),
    log:
        "<logs>/publish/{sample}.log",
    wildcard_constraints:
        sample=plan.to_publish,
    retries: plan.retries
    localrule: True
    params:
        files=plan.source_files,
        model=plan.model_option,
    shell:
        "geneformer-rules publish {input.unpublished:q} --source {params.files} {params.model}"
        " -o {output.archive:q} --report {output.report:q} > {log:q} 2>&1"


# A rule of its own: Snakemake removes the outputs of a job that is interrupted, and the archive must not be among them
# once the source is gone.
rule delete_source:
    input:
        archive="<results>/archives/{sample}.gfz",
        report="<results>/reports/{sample}.json",
    output:
        record="<results>/deleted/{sample}.json",
    log:
        "<logs>/delete_source/{sample}.log",
    benchmark:
        "<benchmarks>/delete_source/{sample}.tsv"
    localrule: True
    params:
        files=plan.source_files,
    shell:
        "geneformer-rules delete-source {params.files} --archive {input.archive:q} --report {input.report:q}"
        " -o {output.record:q} > {log:q} 2>&1"
