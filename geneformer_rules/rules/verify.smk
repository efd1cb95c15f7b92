# The only rule that publishes: it decodes what was gathered, compares it with the sample's file as it is now, and moves
# the archive to its place, where an old one stays until then. The model that archives refer to is kept beside them.
rule verify:
    input:
        archive="<results>/unverified/{sample}.gfz",
        records="<results>/sources/{sample}.json",
        sample=source,
        model=model,
    output:
        archive=update("<results>/archives/{sample}.gfz"),
        report=update("<results>/verified/{sample}.json"),
    log:
        "<logs>/verify/{sample}.log",
    benchmark:
        "<benchmarks>/verify/{sample}.tsv"
    wildcard_constraints:
        sample=SPLIT,
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
        files=source_files,
        model=model_option,
        leftovers=leftovers,
    shell:
        "rm -f {params.leftovers};"
        " ( gfz verify {input.archive:q} {params.model} --max-memory 1024T --threads {threads} --device {resources.device}"
        " && geneformer-rules publish {input.archive:q} --source {params.files} {params.model}"
        " --records {input.records:q} -o {output.archive:q} --report {output.report:q} ) > {log:q} 2>&1"


# Small samples share jobs; one that was split has a job of its own. What fails is told at the end, when all are decoded.
rule recheck:
    input:
        archives=batch_archives,
    output:
        passed=touch(RECHECKED),
    log:
        "<logs>/recheck/{batch}.log",
    benchmark:
        "<benchmarks>/recheck/{batch}.tsv"
    wildcard_constraints:
        batch=BATCH,
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
    shell:
        "rm -f {params.stale};"
        ' GFZ_MODEL_PATH={params.models:q}"${{GFZ_MODEL_PATH:+:$GFZ_MODEL_PATH}}"'
        " geneformer-rules verify-batch {input.archives:q} --threads {threads} --device {resources.device}"
        " > {log:q} 2>&1"


# A rule of its own, after the archive is on the disk for good: Snakemake removes the outputs of a job that is
# interrupted, and must never find the archive among them once the source is gone.
rule delete_source:
    input:
        archive="<results>/archives/{sample}.gfz",
        report="<results>/verified/{sample}.json",
    output:
        proof="<results>/deleted/{sample}.json",
    log:
        "<logs>/delete_source/{sample}.log",
    benchmark:
        "<benchmarks>/delete_source/{sample}.tsv"
    localrule: True
    conda:
        "../envs/gfz.yaml"
    params:
        files=source_files,
    shell:
        "geneformer-rules delete-source {params.files} --archive {input.archive:q} --report {input.report:q}"
        " -o {output.proof:q} > {log:q} 2>&1"
