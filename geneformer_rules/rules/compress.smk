# A job loads the model once, compresses several parts, and decodes them before their block appears. Their names are worked out in the shell: there may be more than
# fit into one argument.
rule compress:
    input:
        parts="<results>/parts/{sample}",
        model=plan.inputs.model,
    output:
        block=temp("<results>/blocks/{sample}/{parts}.gfz"),
    log:
        "<logs>/compress/{sample}/{parts}.log",
    benchmark:
        "<benchmarks>/compress/{sample}/{parts}.tsv"
    wildcard_constraints:
        parts="[0-9]{8}-[0-9]{8}",
    retries: plan.retries
    threads: plan.needs.compressing.threads
    resources:
        **plan.needs.compressing.resources,
        access=plan.config["access"],  # as in archive.smk
    params:
        model=plan.options.model,
        level=plan.config["level"],
        numbers=plan.options.first_and_last_part,
        leftovers=plan.options.leftovers,
    shell:
        "rm -f {params.leftovers};"
        " ( IFS=$'\\n';"
        " gfz compress --part $(seq -f {input.parts:q}/%08.0f.part {params.numbers}) -o {output.block:q} {params.model}"
        " --verify --level {params.level} --access {resources.access} --threads {threads} --device {resources.device} ) > {log:q} 2>&1"
