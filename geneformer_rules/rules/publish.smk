# The only rule that publishes. An old archive stays in its place until it is replaced. The model that archives refer to is
# kept beside them. Parts and downloads are deleted then; Snakemake would keep them until all samples have been split.
rule publish:
    input:
        plan.inputs.publication,
    output:
        archive=update("<results>/archives/{sample}.gfz"),
        report=update("<results>/reports/{sample}.json"),
    log:
        "<logs>/publish/{sample}.log",
    wildcard_constraints:
        sample=plan.to_publish,
    localrule: True
    params:
        publication=plan.options.publication,
        checks=plan.options.checks,
    shell:
        "geneformer-rules publish {params.publication}"
        " -o {output.archive:q} --report {output.report:q} --checks {params.checks:q} > {log:q} 2>&1"


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
        files=plan.options.files,
    shell:
        "geneformer-rules delete-source {params.files} --archive {input.archive:q} --report {input.report:q}"
        " -o {output.record:q} > {log:q} 2>&1"
