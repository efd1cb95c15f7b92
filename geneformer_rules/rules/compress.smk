# One job, one part, one load of the model.
rule compress:
    input:
        parts="<results>/parts/{sample}",
        model=model,
    output:
        block=temp("<results>/blocks/{sample}/{part}.gfz"),
    log:
        "<logs>/compress/{sample}/{part}.log",
    benchmark:
        "<benchmarks>/compress/{sample}/{part}.tsv"
    wildcard_constraints:
        part="[0-9]{8}",
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
        leftovers=leftovers,
    shell:
        "rm -f {params.leftovers};"
        " gfz compress --part {input.parts:q}/{wildcards.part}.part -o {output.block:q} {params.model}"
        " --level {params.level} --threads {threads} --device {resources.device} > {log:q} 2>&1"
