# The sequences that the shipped configuration archives are simulated: related genomes from a seeded simulator, the same
# on every machine. They are made only if the sample sheet asks for them.
rule simulate_example:
    output:
        panel="<resources>/example/panel.fa",
        samples=expand("<resources>/example/{sample}.fa", sample=["first", "second"]),
    log:
        "<logs>/simulate_example.log",
    benchmark:
        "<benchmarks>/simulate_example.tsv"
    conda:
        "../../envs/gfz.yaml"
    shell:
        "gfz simulate"
