# A training of a network that was killed continues from its checkpoint. Neither this nor the log is an output before the
# training is complete, or Snakemake would remove it. A checkpoint is named after a digest of panel, base and settings:
# with others, training starts from the beginning. What takes less than a minute is not sent to a cluster.
rule train:
    input:
        panel=plan.inputs.panel,
        base=plan.inputs.base_model,
    output:
        model="<results>/models/{species}.gfmodel",
        progress="<results>/training/{species}.jsonl",
    log:
        "<logs>/train/{species}.log",
    benchmark:
        "<benchmarks>/train/{species}.tsv"
    wildcard_constraints:
        species=plan.trained_in_jobs,
    retries: plan.retries
    threads: plan.config["threads"]["train"]
    resources:
        **plan.needs.training,
    params:
        panel=plan.options.panel,
        base=plan.options.base,
        base_file=plan.options.base_file,
        options=plan.options.training,
        checkpoint=plan.options.checkpoint,
        leftovers=plan.options.leftovers,
    shell:
        "rm -f {params.leftovers};"
        " ( run=$(cat {params.panel} {params.base_file} <(printf %s {params.options:q}) | sha256sum | cut -c 1-16)"
        " && gfz train {params.panel} -o {output.model:q} --name {wildcards.species} {params.options} {params.base}"
        " --threads {threads} --device {resources.device} {params.checkpoint}"
        " --log {output.progress:q}.unfinished -f"
        " && mv {output.progress:q}.unfinished {output.progress:q} && rm -f {output.progress:q}.*.checkpoint"
        " ) > {log:q} 2>&1"


use rule train as train_local with:
    wildcard_constraints:
        species=plan.trained_locally,
    localrule: True
