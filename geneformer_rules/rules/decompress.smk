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


# Small samples share jobs. Their texts are no declared outputs: each appears when it is complete, stays when another
# sample fails, and is not written again when the job is. What is here already has no job at all.
rule decompress_batch:
    input:
        archives=batch_archives,
    output:
        done=touch(DECOMPRESSED.format("{batch}")),
    log:
        "<logs>/decompress_batch/{batch}.log",
    benchmark:
        "<benchmarks>/decompress_batch/{batch}.tsv"
    wildcard_constraints:
        batch=BATCH,
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
        stale=stale_proofs,
        directory=texts_directory,
    shell:
        "rm -f {params.stale};"
        ' GFZ_MODEL_PATH={params.models:q}"${{GFZ_MODEL_PATH:+:$GFZ_MODEL_PATH}}"'
        " geneformer-rules decompress-batch {input.archives:q} -o {params.directory:q} --threads {threads}"
        " --device {resources.device} > {log:q} 2>&1"
