# The shipped configuration archives simulated sequences: related genomes, the same on every machine, made if a sheet names
# them. Panel and samples share no genome.
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
    shell:
        "gfz simulate --genomes 60 --length 8000 --divergence 0.01 --seed 1 -o - 2> {log:q}"
        " | awk -v panel={output.panel:q} -v first={output.first:q} -v second={output.second:q}"
        ' \'{{record += substr($0, 1, 1) == ">"}}'
        " {{print > (record <= 48 ? panel : record <= 54 ? first : second)}}' 2>> {log:q}"
