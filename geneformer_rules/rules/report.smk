# Batches that are still there are of earlier runs, in which a sample of theirs could not be archived. What is not declared
# as input, models, logs of trainings and benchmarks, is reported as far as it is there.
rule summary:
    input:
        reports=reports,
    output:
        table=report(
            "<results>/summary.tsv", caption="../report/summary.rst", category="Archives", labels={"what": "table"}
        ),
        sizes=report(
            "<results>/report/sizes.html", caption="../report/sizes.rst", category="Archives", labels={"what": "sizes"}
        ),
        models=report(
            "<results>/report/models.html",
            caption="../report/models.rst",
            category="Models",
            labels={"what": "all models"},
        ),
        jobs=report(
            "<results>/report/jobs.html", caption="../report/jobs.rst", category="Jobs", labels={"what": "needs"}
        ),
        tables=expand("<results>/report/{table}.tsv", table=["species", "models", "decisions", "jobs"]),
        numbers="<results>/report/numbers.json",
    log:
        "<logs>/summary.log",
    benchmark:
        "<benchmarks>/summary.tsv"
    localrule: True
    conda:
        "../envs/gfz.yaml"
    params:
        results=results_directory,
        benchmarks=BENCHMARKS,
        samples=SETTINGS["samples"],
        directory=report_directory,
        batches=f"{RESULTS}/batches",
    shell:
        "rm -rf {params.batches:q};"
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
    conda:
        "../envs/gfz.yaml"
    shell:
        "geneformer-rules training-report {input.progress:q} --name {wildcards.species} -o {output.page:q} > {log:q} 2>&1"
