# One sample, by the name of its text; if its text has another name, the error says which.
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
        sample=plan.one_text,
        suffix="fa|fq",
    retries: plan.retries
    threads: plan.needs.decoding.threads
    resources:
        **plan.needs.decoding.resources,
    params:
        models=plan.options.model_path,
        directory=subpath(output[0], parent=True),
    shell:
        "GFZ_MODEL_PATH={params.models} geneformer-rules decode {input.archives:q} -o {params.directory:q}"
        " --only {output.texts:q} --threads {threads} --device {resources.device} > {log:q} 2>&1"


use rule decompress as decompress_pair with:
    output:
        texts=["<results>/decompressed/{sample}_1.fq", "<results>/decompressed/{sample}_2.fq"],
    log:
        "<logs>/decompress_pair/{sample}.log",
    benchmark:
        "<benchmarks>/decompress_pair/{sample}.tsv"
    wildcard_constraints:
        sample=plan.two_texts,


# All samples, to verify or to decompress them: small ones share jobs. Texts are no declared outputs: each appears when it
# is complete, and stays when another sample fails.
rule decode:
    input:
        archives=plan.inputs.archives,
    output:
        passed=temp(touch("<results>/checks/{work}/{batch}.ok")),
    log:
        "<logs>/{work}/{batch}.log",
    benchmark:
        "<benchmarks>/{work}/{batch}.tsv"
    wildcard_constraints:
        work="decompress|verify",
        batch=BATCH,
    retries: plan.retries
    threads: plan.needs.decoding.threads
    resources:
        **plan.needs.decoding.resources,
    params:
        models=plan.options.model_path,
        decoding=plan.options.decoding,
    shell:
        "GFZ_MODEL_PATH={params.models} geneformer-rules decode {input.archives:q} {params.decoding}"
        " --threads {threads} --device {resources.device} > {log:q} 2>&1"
