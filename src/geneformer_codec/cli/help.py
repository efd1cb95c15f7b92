"""The end of the help of ``gfz`` and of its commands: examples and notes."""

GFZ = """\
examples:
  gfz compress genome.fa.gz                                            (to genome.fa.gfz; gfz decompress: back)
  gfz train panel.fa.gz -o fish.gfmodel --name fish
  gfz compress genomes.fa.gz -o genomes.gfz --model fish.gfmodel --verify
  gfz info genomes.gfz
  gfz decompress genomes.gfz -o genomes.fa --model fish.gfmodel
  gfz cat genomes.gfz --model fish.gfmodel | grep -c '>'
  gfz fetch genomes.gfz NC_001606.1:1001-2000 --model fish.gfmodel

'-' is standard input or output. Exit status: 0 success, 1 an error in the data (the message states where), 2 an invalid
call. An archive made with a model that is not embedded needs that model again: give it with --model, or name the
directories that hold models in GFZ_MODEL_PATH. Archives may be URLs (https://, s3://): only the needed byte ranges are
read. More about a command: gfz COMMAND --help
"""

TRAIN = """\
examples:
  gfz train panel.fa.gz -o fish.gfmodel --name fish
  gfz train panel.fa.gz -o fish.gfmodel --name fish --preset stream-small --minutes 30
  gfz train mine.fa -o mine.gfmodel --name mine --base fish.gfmodel --epochs 2
  gfz train panel.fa.gz -o net.gfmodel --name fish --preset stream-small --checkpoint net.ckpt   (again to resume)
"""

COMPRESS = """\
examples:
  gfz compress genome.fa.gz                                            (to genome.fa.gfz, without a model)
  gfz compress genomes.fa -o genomes.gfz --model fish.gfmodel --verify
  cat *.fa | gfz compress - -o all.gfz --model fish.gfmodel --embed
  gfz compress run_1.fq.gz --mate run_2.fq.gz -o run.gfz --verify       (a pair: one archive)
  gfz compress reads.bam -o reads.gfz                                  (the reads; warns about what is not kept)
  gfz compress --part parts/00000003.part -o 3.gfz --model fish.gfmodel   (one part of 'gfz split', for 'gfz gather')

The same input, model, level, strands, access, part size and name give the same bytes on any machine.
"""

DECOMPRESS = """\
examples:
  gfz decompress genome.fa.gfz                                         (to genome.fa)
  gfz decompress *.gfz
  gfz decompress genomes.gfz -o - --model fish.gfmodel | bgzip > genomes.fa.gz
  gfz decompress run.gfz -o run_1.fq --mate run_2.fq

Nothing of a part is written before its checksum is verified.
"""

CAT = """\
examples:
  gfz cat genome.gfz | head
  gfz cat a.gfz b.gfz | seqkit stats
  gfz cat run.gfz --mate | head -n 4                                   (the second text of a pair)
"""

VERIFY = """\
examples:
  gfz verify genome.gfz
  gfz verify -q *.gfz                                                  (lists those that are damaged)
"""

INFO = """\
examples:
  gfz info genome.gfz
  gfz info *.gfz --json | jq .bpb_total                                (one object for each)
  gfz info https://host/genome.gfz                                     (reads the end of the file only)
"""

LS = """\
examples:
  gfz ls genome.gfz
  gfz ls genome.gfz | sort -k2,2nr | head                              (the longest records)
  gfz ls --long genome.gfz | cut -f1,8                                 (names and refget digests)
"""

STATS = """\
examples:
  gfz stats *.gfz | column -t
  gfz stats genome.gfz --json
"""

FETCH = """\
examples:
  gfz fetch genome.gfz chr1                                            (a whole record)
  gfz fetch genome.gfz chr1:1001-2000 chr2:5,000-                      (from 1, both ends included, as in samtools)
  gfz fetch genome.gfz '{HLA:DRB1}:1-100'                              (braces around a name with colons)
  gfz fetch genome.gfz --bed genes.bed --reverse-complement -n 0
  gfz fetch reads.gfz --fastq SRR3927310.7                             (a read with its qualities)
  gfz fetch https://host/genome.gfz chr1:1-100 --model human.gfmodel

Only the slices that the regions lie in are decoded: at most 65,536 bases each in archives that were made with a model;
one slice per part without one. Whole records are checked against their digests.
A region that goes beyond its record is cut off there, with a warning; one of an unknown record is an error.
"""

FAIDX = """\
examples:
  gfz faidx genome.gfz -o genome.fa.fai                                (what samtools faidx writes for genome.fa)
  gfz faidx genome.gfz | cut -f1,2 > genome.sizes
  gfz faidx run.gfz --mate -o run_2.fq.fai                             (what samtools fqidx writes for run_2.fq)
"""

MERGE = """\
examples:
  gfz merge monday.gfz tuesday.gfz -o week.gfz --model fish.gfmodel

The blocks are copied unchanged, and decoded to compute the checksum of the whole text. The archives must have the same
model, slice length and level.
"""

MODEL = """\
examples:
  gfz model ls models/                                                 (or the directories of GFZ_MODEL_PATH)
  gfz model show fish.gfmodel
"""

CACHE = """\
examples:
  gfz cache size
  gfz cache list | sort -k2,2nr
  gfz cache clear --unused-for 30

The least recently used panels are removed when they take more than GFZ_CACHE_SIZE together (default: 20G).
"""

COMPLETION = """\
examples:
  gfz completion bash > ~/.local/share/bash-completion/completions/gfz
  gfz completion zsh > ~/.zfunc/_gfz                                   (a directory of your $fpath)
"""

GATHER = """\
example:
  gfz split genomes.fa.gz -o parts
  for p in parts/*.part; do gfz compress --part $p -o $p.gfz --model fish.gfmodel; done
  gfz gather parts/plan.json parts/*.gfz -o genomes.gfz
"""

SIMULATE = """\
examples:
  gfz simulate -o panel.fa --genomes 40 --seed 1
  gfz simulate -o - --genomes 5 --length 30000 --divergence 0.05 | head
  gfz simulate -o reads_1.fq --mate reads_2.fq --reads 1000

The same seed and settings give the same genomes on every machine. Their names mark them as simulated.
"""

SPLIT = GATHER
