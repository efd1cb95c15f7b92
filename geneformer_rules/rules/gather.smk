# Blocks are copied, not coded again. Their names are worked out in the shell, as `Plan.jobs` does: there may be more of
# them than fit on a command line that is handed to a shell as one argument.
rule gather:
    input:
        parts="<results>/parts/{sample}",
        blocks=blocks,
        model=embedded_model,
    output:
        archive=temp("<results>/unverified/{sample}.gfz"),
    log:
        "<logs>/gather/{sample}.log",
    benchmark:
        "<benchmarks>/gather/{sample}.tsv"
    wildcard_constraints:
        sample=SPLIT,
    retries: RETRIES
    localrule: True
    conda:
        "../envs/gfz.yaml"
    params:
        embed=embed_option,
        blocks=f"{RESULTS}/blocks",
        jobs=block_count,
        parts=part_count,
        leftovers=leftovers,
    shell:
        "rm -f {params.leftovers};"
        " ( IFS=$'\\n';"
        " gfz gather {input.parts:q}/plan.json"
        " $(for job in $(seq 0 $(({params.jobs} - 1))); do"
        " printf '%s/%08d-%08d.gfz\\n' {params.blocks:q}/{wildcards.sample}"
        " $(({params.parts} * job / {params.jobs})) $(({params.parts} * (job + 1) / {params.jobs} - 1)); done)"
        " -o {output.archive:q} {params.embed} ) > {log:q} 2>&1"
