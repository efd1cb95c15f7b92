# One sample, by the name of its text; if its text has another name, the error names it, as early as it is known.
rule decompress:
    input:
        archives=plan.inputs.archive_of_text,
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
        checks=plan.options.checks,
    shell:
        "GFZ_MODEL_PATH={params.models} geneformer-rules decode {input.archives:q} -o {params.directory:q}"
        " --checks {params.checks:q} --only {output.texts:q} --threads {threads} --device {resources.device} > {log:q} 2>&1"


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
# is complete, and stays when another sample fails. That an archive is damaged does not change when a job is tried again:
# it is noted in the table of checks, and `conclude` fails by it.
rule decode:
    input:
        archives=plan.inputs.archives,
    output:
        done=temp(touch("<results>/checks/{work}/{batch}.done")),
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
        directory=plan.options.decompressed,
        checks=plan.options.checks,
    shell:
        "GFZ_MODEL_PATH={params.models} geneformer-rules decode {input.archives:q} {params.directory}"
        " --checks {params.checks:q} --threads {threads} --device {resources.device} > {log:q} 2>&1"


# Of a large archive, jobs verify parts. That these together are the sample was checked when the archive was published.
rule verify_parts:
    input:
        archive="<results>/archives/{sample}.gfz",
    output:
        errors=temp("<results>/checks/verify/{sample}/{parts}.errors"),
    log:
        "<logs>/verify_parts/{sample}/{parts}.log",
    benchmark:
        "<benchmarks>/verify_parts/{sample}/{parts}.tsv"
    wildcard_constraints:
        sample=NAME,
        parts=PARTS,
    retries: plan.retries
    threads: plan.needs.decoding.threads
    resources:
        **plan.needs.decoding.resources,
    params:
        models=plan.options.model_path,
        checks=plan.options.checks,
    shell:
        "GFZ_MODEL_PATH={params.models} geneformer-rules verify-parts {input.archive:q} --parts {wildcards.parts}"
        " --errors {output.errors:q} --checks {params.checks:q} --threads {threads} --device {resources.device} > {log:q} 2>&1"


rule verify:
    input:
        errors=plan.inputs.verified_parts,
        archive="<results>/archives/{sample}.gfz",
        report="<results>/reports/{sample}.json",
    output:
        done=temp(touch("<results>/checks/verify/{sample}.done")),
    log:
        "<logs>/verify/{sample}.log",
    benchmark:
        "<benchmarks>/verify/{sample}.tsv"
    wildcard_constraints:
        sample=NAME,
    localrule: True
    params:
        checks=plan.options.checks,
    shell:
        "geneformer-rules verify-whole {input.archive:q} --report {input.report:q} --errors {input.errors:q}"
        " --checks {params.checks:q} > {log:q} 2>&1"


# Fails when all are done if some archives did not give their text back.
rule conclude:
    input:
        plan.inputs.decoded,
    output:
        done=temp(touch("<results>/checks/{work}.done")),
    log:
        "<logs>/{work}_all.log",
    wildcard_constraints:
        work="decompress|verify",
    localrule: True
    params:
        samples=plan.config["samples"],
        checks=plan.options.checks,
    shell:
        "geneformer-rules conclude {wildcards.work} --samples {params.samples:q} --checks {params.checks:q} > {log:q} 2>&1"
