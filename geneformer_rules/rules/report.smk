localrules:
    summary,
    plot_training,


rule summary:
    input:
        reports=reports,
    output:
        table=report("<results>/summary.tsv", caption="../report/summary.rst", category="Archives"),
    log:
        "<logs>/summary.log",
    benchmark:
        "<benchmarks>/summary.tsv"
    conda:
        "../envs/gfz.yaml"
    params:
        reports=f"{RESULTS}/verified",
        samples=SETTINGS["samples"],
    shell:
        "geneformer-rules summary {params.reports:q} --samples {params.samples:q} -o {output.table:q} > {log:q} 2>&1"


rule plot_training:
    input:
        progress="<results>/training/{species}.jsonl",
    output:
        curve=report(
            "<results>/training/{species}.svg",
            caption="../report/training.rst",
            category="Training",
            labels={"species": "{species}"},
        ),
    log:
        "<logs>/plot_training/{species}.log",
    benchmark:
        "<benchmarks>/plot_training/{species}.tsv"
    conda:
        "../envs/gfz.yaml"
    shell:
        "geneformer-rules plot-training {input.progress:q} --title {wildcards.species} -o {output.curve:q} > {log:q} 2>&1"
