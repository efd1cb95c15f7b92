# Unpublished archives that are still there are leftovers of earlier runs. Models, logs of trainings and benchmarks are no
# declared inputs: those that exist are reported.
rule summary:
    input:
        reports=plan.inputs.reports,
    output:
        table=report(
            "<results>/summary.tsv", caption="../report/summary.rst", category="Archives", labels={"what": "table"}
        ),
        sizes=report(
            "<results>/summary/sizes.html",
            caption="../report/sizes.rst",
            category="Archives",
            labels={"what": "sizes"},
        ),
        models=report(
            "<results>/summary/models.html",
            caption="../report/models.rst",
            category="Models",
            labels={"what": "all models"},
        ),
        jobs=report(
            "<results>/summary/jobs.html", caption="../report/jobs.rst", category="Jobs", labels={"what": "needs"}
        ),
        tables=expand("<results>/summary/{table}.tsv", table=["species", "models", "decisions", "jobs", "checks"]),
        numbers="<results>/summary/numbers.json",
    log:
        "<logs>/summary.log",
    benchmark:
        "<benchmarks>/summary.tsv"
    localrule: True
    params:
        results=subpath(output.table, parent=True),
        benchmarks=plan.benchmarks,
        samples=plan.config["samples"],
        directory=subpath(output.numbers, parent=True),
        leftovers=plan.options.unpublished,
    shell:
        "rm -rf {params.leftovers:q};"
        " geneformer-rules report {params.results:q} --benchmarks {params.benchmarks:q} --samples {params.samples:q}"
        " --summary {output.table:q} -o {params.directory:q} > {log:q} 2>&1;"
        " cat {log:q} >&2 || true"


rule training_report:
    input:
        progress="<results>/training/{species}.jsonl",
    output:
        page=report(
            "<results>/training/{species}.html",
            caption="../report/training.rst",
            category="Models",
            labels={"what": "training of {species}"},
        ),
    log:
        "<logs>/training_report/{species}.log",
    benchmark:
        "<benchmarks>/training_report/{species}.tsv"
    localrule: True
    shell:
        "geneformer-rules training-report {input.progress:q} --name {wildcards.species} -o {output.page:q} > {log:q} 2>&1"
