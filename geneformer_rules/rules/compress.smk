# A job has one load of the model, however many parts.
rule compress:
    input:
        parts="<results>/parts/{sample}",
        model=model,
    output:
        block=temp("<results>/blocks/{sample}/{parts}.gfz"),
    log:
        "<logs>/compress/{sample}/{parts}.log",
    benchmark:
        "<benchmarks>/compress/{sample}/{parts}.tsv"
    wildcard_constraints:
        parts="[0-9]{8}-[0-9]{8}",
    retries: RETRIES
    conda:
        "../envs/gfz.yaml"
    threads: part_threads
    resources:
        **GPU_JOB,
        mem_mb=part_memory_mb,
        runtime=part_minutes,
        device=device,
    params:
        model=model_option,
        level=SETTINGS["level"],
        numbers=part_numbers,
        leftovers=leftovers,
    shell:
        "rm -f {params.leftovers};"
        " ( IFS=$'\\n';"
        " gfz compress --part $(seq -f {input.parts:q}/%08.0f.part {params.numbers}) -o {output.block:q} {params.model}"
        " --level {params.level} --threads {threads} --device {resources.device} ) > {log:q} 2>&1"
