# The sequences that the shipped configuration archives are simulated: related genomes from a seeded simulator, the same
# on every machine. They are made only if a sheet asks for them. Panel and samples share no genome.
rule simulate_example:
    output:
        panel="<resources>/example/panel.fa",
        first="<resources>/example/first.fa",
        second="<resources>/example/second.fa",
    log:
        "<logs>/simulate_example.log",
    benchmark:
        "<benchmarks>/simulate_example.tsv"
    localrule: True
    conda:
        "../../envs/gfz.yaml"
    shell:
        "gfz simulate --genomes 60 --length 8000 --divergence 0.01 --seed 1 -o - 2> {log:q}"
        " | awk -v panel={output.panel:q} -v first={output.first:q} -v second={output.second:q}"
        ' \'{{record += substr($0, 1, 1) == ">"}}'
        " {{print > (record <= 48 ? panel : record <= 54 ? first : second)}}' 2>> {log:q}"
