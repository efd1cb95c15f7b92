# Archives are published once decoding has reproduced every byte, so this ends when all are verified.
rule compress_all:
    default_target: True
    input:
        plan.inputs.archives,
        plan.inputs.deletions,
        "<results>/summary.tsv",
    localrule: True


# For finished archives that are named as targets: Snakemake wants a rule for them.
rule published:
    input:
        plan.named_archives,
    localrule: True


rule decompress_all:
    input:
        plan.inputs.archives,
        plan.inputs.decompressed,
    localrule: True


# Decodes the archives as they are on the disk now, every time.
rule verify_all:
    input:
        plan.inputs.verified,
    localrule: True


rule train_all:
    input:
        plan.inputs.models,
        plan.inputs.training_reports,
    localrule: True
