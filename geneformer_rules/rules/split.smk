# How many parts a sample has is known once its text has been read, hence a checkpoint. The plan is kept beside the
# parts, which are temporary, so that a finished archive is known to be finished. What takes less than a minute is not
# sent to a cluster.
for NAME, SAMPLES, HERE in (("split", SPLIT_THERE, False), ("split_here", SPLIT_HERE, True)):

    checkpoint:
        name:
            NAME
        input:
            sample=split_source,
        output:
            parts=temp(directory("<results>/parts/{sample}")),
            plan="<results>/plans/{sample}.json",
            records="<results>/sources/{sample}.json",
        log:
            "<logs>/split/{sample}.log",
        benchmark:
            "<benchmarks>/split/{sample}.tsv"
        wildcard_constraints:
            sample=SAMPLES,
        retries: RETRIES
        localrule: HERE
        conda:
            "../envs/gfz.yaml"
        # Not a parameter: Snakemake would make every archive anew whenever it is changed.
        resources:
            **CPU_JOB,
            part_bases=SETTINGS["part_bases"],
            mem_mb=split_memory_mb,
            runtime=split_minutes,
        params:
            files=source_files,
            texts=split_files,
            species=species_option,
        shell:
            "( geneformer-rules describe {wildcards.sample} {params.files} {params.species} -o {output.records:q}"
            " && gfz split {params.texts} -o {output.parts:q} --name {wildcards.sample}"
            " --part-bases {resources.part_bases} && cp {output.parts:q}/plan.json {output.plan:q} ) > {log:q} 2>&1"
