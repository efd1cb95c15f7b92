# Archives appear only after decoding has given every byte back, so this ends when verification has passed.
rule compress_all:
    default_target: True
    input:
        archives,
        deletions,
        "<results>/summary.tsv",
    localrule: True


# Archives that are done, where they are named: Snakemake asks for a rule, and this one has nothing to do.
rule published:
    input:
        NAMED,
    localrule: True


rule decompress_all:
    input:
        archives,
        decompressed,
    localrule: True


# The archives as they lie on the disk now are decoded again, every time this is asked for.
rule verify_all:
    input:
        rechecks,
    localrule: True


rule train_all:
    input:
        models,
        training_reports,
    localrule: True
