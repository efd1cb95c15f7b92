# One sample, by the name of its text: of reads, the error says, that is another one.
rule decompress:
    input:
        archives="<results>/archives/{sample}.gfz",
    output:
        texts="<results>/decompressed/{sample}.{suffix}",
    log:
        "<logs>/decompress/{sample}.{suffix}.log",
    benchmark:
        "<benchmarks>/decompress/{sample}.{suffix}.tsv"
    wildcard_constraints:
        sample=ONE_TEXT,
        suffix="fa|fq",
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
        directory=texts_directory,
    shell:
        'GFZ_MODEL_PATH={params.models:q}"${{GFZ_MODEL_PATH:+:$GFZ_MODEL_PATH}}"'
        " geneformer-rules decompress-batch {input.archives:q} -o {params.directory:q} --only {output.texts:q}"
        " --threads {threads} --device {resources.device} > {log:q} 2>&1"


use rule decompress as decompress_pair with:
    output:
        texts=["<results>/decompressed/{sample}_1.fq", "<results>/decompressed/{sample}_2.fq"],
    log:
        "<logs>/decompress_pair/{sample}.log",
    benchmark:
        "<benchmarks>/decompress_pair/{sample}.tsv"
    wildcard_constraints:
        sample=TWO_TEXTS,


# Small samples share jobs. Their texts are no declared outputs: each appears when it is complete, stays when another
# sample fails, and is not written again when the job is. What is here already has no job at all.
rule decompress_batch:
    input:
        archives=batch_archives,
    output:
        done=touch(DECOMPRESSED),
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
        directory=f"{RESULTS}/decompressed",
    shell:
        "rm -f {params.stale};"
        ' GFZ_MODEL_PATH={params.models:q}"${{GFZ_MODEL_PATH:+:$GFZ_MODEL_PATH}}"'
        " geneformer-rules decompress-batch {input.archives:q} -o {params.directory:q} --threads {threads}"
        " --device {resources.device} > {log:q} 2>&1"
