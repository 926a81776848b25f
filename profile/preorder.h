/*
 * preorder: depth-first positions in a tree given as an array of parents, in linear time and
 * without recursion, however deep it is.
 *
 * Node 0 is the root, and parents[i] < i for all others, as in a profile's stacks.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "profile/profile.h"

/* positions[i]: the place of node i in depth-first order; sizes[i]: nodes of its subtree, itself
 * included; each has room for node_count. Siblings go by ranks[i] (below rank_count), then by
 * i; ranks NULL: by i. -ENOMEM. */
int preorder(size_t node_count, const uint32_t *parents, const uint32_t *ranks, size_t rank_count,
	     uint32_t *positions, uint32_t *sizes);

/* The stacks of a profile in depth-first order, siblings by id; order has room for
 * stack_count, order[0] is the empty stack. -ENOMEM. */
int preorder_stacks(const struct profile *profile, uint32_t *order);
