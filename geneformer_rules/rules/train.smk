# The training of a network that was killed goes on from its checkpoint, which is no output, or Snakemake would remove it.
# The same holds for the record of its progress until the training is complete. A checkpoint carries the digest of what
# it was made from: with another panel, base or settings, training starts afresh. What takes less than a minute is not sent to
# a cluster.
for NAME, SPECIES, HERE in (("train", TRAINED_THERE, False), ("train_here", TRAINED_HERE, True)):

    rule:
        name:
            NAME
        input:
            panel=panel,
            base=base_model,
        output:
            model="<results>/models/{species}.gfmodel",
            progress="<results>/training/{species}.jsonl",
        log:
            "<logs>/train/{species}.log",
        benchmark:
            "<benchmarks>/train/{species}.tsv"
        wildcard_constraints:
            species=SPECIES,
        retries: RETRIES
        localrule: HERE
        conda:
            "../envs/gfz.yaml"
        threads: SETTINGS["threads"]["train"]
        resources:
            **GPU_JOB,
            mem_mb=training_memory_mb,
            runtime=training_minutes,
            device=device,
        params:
            panel=panel_files,
            base=base_option,
            base_file=base_file,
            options=training_options,
            checkpoint=checkpoint_option,
            leftovers=leftovers,
        shell:
            "rm -f {params.leftovers};"
            " ( run=$(cat {params.panel} {params.base_file} <(printf %s {params.options:q}) | sha256sum | cut -c 1-16)"
            " && gfz train {params.panel} -o {output.model:q} --name {wildcards.species} {params.options} {params.base}"
            " --threads {threads} --device {resources.device} {params.checkpoint}"
            " --log {output.progress:q}.unfinished -f"
            " && mv {output.progress:q}.unfinished {output.progress:q} && rm -f {output.progress:q}.*.checkpoint"
            " ) > {log:q} 2>&1"
