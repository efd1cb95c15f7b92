# A run is fetched first. Its size is known then, hence a checkpoint: a small one is archived whole, a large one split. Its
# files, which are no declared outputs, so that a download can be resumed, stay until the archive is published; how many
# runs there may be is looked after in `geneformer_rules.places`, how many are fetched at a time by the resource.
resource_scopes:
    sra_downloads="global",


checkpoint fetch:
    input:
        model=ancient(plan.inputs.fetched_model),
    output:
        record="<results>/fetched/{sample}.json",
    log:
        "<logs>/fetch/{sample}.log",
    benchmark:
        "<benchmarks>/fetch/{sample}.tsv"
    wildcard_constraints:
        sample=plan.runs,
    retries: plan.retries
    conda:
        plan.options.environment
    threads: plan.needs.fetch_threads
    resources:
        **plan.needs.fetching,
    params:
        run=plan.options.run,
        download=plan.options.download,
    shell:
        "geneformer-rules fetch {params.run} {params.download}"
        " --threads {threads} -o {output.record:q} > {log:q} 2>&1"
