# A job loads the model once and compresses several parts. Their names are worked out in the shell: there may be more than
# fit into one argument.
rule compress:
    input:
        parts="<results>/parts/{sample}",
        model=plan.model,
    output:
        block=temp("<results>/blocks/{sample}/{parts}.gfz"),
    log:
        "<logs>/compress/{sample}/{parts}.log",
    benchmark:
        "<benchmarks>/compress/{sample}/{parts}.tsv"
    wildcard_constraints:
        parts="[0-9]{8}-[0-9]{8}",
    retries: plan.retries
    threads: plan.compressing.threads
    resources:
        **plan.compressing.resources,
        access=plan.config["access"],  # as in archive.smk
    params:
        model=plan.model_option,
        level=plan.config["level"],
        numbers=plan.first_and_last_part,
        leftovers=plan.leftovers,
    shell:
        "rm -f {params.leftovers};"
        " ( IFS=$'\\n';"
        " gfz compress --part $(seq -f {input.parts:q}/%08.0f.part {params.numbers}) -o {output.block:q} {params.model}"
        " --level {params.level} --access {resources.access} --threads {threads} --device {resources.device} ) > {log:q} 2>&1"
