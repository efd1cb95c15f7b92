rule decompress:
    input:
        archive="<results>/archives/{sample}.gfz",
    output:
        sample="<results>/decompressed/{sample}.fa",
    log:
        "<logs>/decompress/{sample}.log",
    benchmark:
        "<benchmarks>/decompress/{sample}.tsv"
    retries: RETRIES
    conda:
        "../envs/gfz.yaml"
    threads: decode_threads
    resources:
        **GPU_JOB,
        mem_mb=decode_memory_mb,
        runtime=decode_minutes,
        device=device,
    params:
        models=f"{RESULTS}/archives/models",
        leftovers=leftovers,
    shell:
        "rm -f {params.leftovers};"
        ' GFZ_MODEL_PATH={params.models:q}"${{GFZ_MODEL_PATH:+:$GFZ_MODEL_PATH}}"'
        " gfz decompress {input.archive:q} -o {output.sample:q} --threads {threads} --device {resources.device}"
        " > {log:q} 2>&1"
