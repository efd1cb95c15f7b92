# The plan of this run, in which all rules look up what their jobs need.

from geneformer_rules.patterns import BATCH
from geneformer_rules.planner import Planner
from geneformer_rules.snakemake_call import add_own_commands_to_path

add_own_commands_to_path()

plan = Planner.of(workflow, config, checkpoints)
