/*
 * order.h: values by their rank.
 */
#ifndef CORE_ORDER_H
#define CORE_ORDER_H

#include <stddef.h>

/* The k-th smallest (from 0) of n > k values, none of them NaN, which are put into another order:
 * it ends at v[k], smaller ones before it (Hoare 1961, Commun. ACM 4, 321). */
double order_kth(double *v, size_t n, size_t k);
float order_kthf(float *v, size_t n, size_t k);

/* The median, the mean of both middle values of an even number; NAN of none.  As order_kthf. */
float order_medianf(float *v, size_t n);

#endif
