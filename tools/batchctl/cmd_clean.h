/*
 * cmd_clean.h: `batchctl clean`: what finished work left behind, removed
 * (pipeline/product/sweep.h) while the claim on its group is ours (locks/claim.h).
 */
#ifndef TOOLS_BATCHCTL_CMD_CLEAN_H
#define TOOLS_BATCHCTL_CMD_CLEAN_H

/* The verb's own command line, argv[0] being "clean".  Returns the exit status. */
int cmd_clean_main(int argc, char **argv);

#endif
