# Blocks are copied, not coded again. Their names are counted out in the shell: a sample may have more parts than fit on
# a command line that is handed to a shell as one argument.
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
        last=last_block,
        leftovers=leftovers,
    shell:
        "rm -f {params.leftovers};"
        " ( IFS=$'\\n';"
        " gfz gather {input.parts:q}/plan.json $(seq -f {params.blocks:q}/{wildcards.sample}/%08.0f.gfz 0 {params.last})"
        " -o {output.archive:q} {params.embed} ) > {log:q} 2>&1"
