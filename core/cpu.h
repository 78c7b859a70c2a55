/*
 * cpu.h: for which instructions hot loops are compiled; which copy runs is decided at run time.
 */
#ifndef CORE_CPU_H
#define CORE_CPU_H

/* Copies, each for the processors of the one before, too. */
enum cpu_code {
    CPU_PLAIN,  /* any processor */
    CPU_AVX2,   /* with FMA */
    CPU_AVX512, /* F, DQ and VL */
    CPU_CODES
};

/* The best that this processor runs. */
enum cpu_code cpu_best(void);

#endif
