// store_group.h - a group of operations, run by an engine in one transaction
//
// And what becomes of the group when that fails. Private to broker/store_*.c;
// any one thread at a time.
#ifndef BROKER_STORE_GROUP_H
#define BROKER_STORE_GROUP_H
#include "broker/store.h"

struct store_engine;

struct op_list {
    struct store_op *head;
    struct store_op **tail;
    size_t len, writes;
};

void op_list_init(struct op_list *list);
void op_list_add(struct op_list *list, struct store_op *op);

// Empties from into the end of to.
void op_list_move(struct op_list *to, struct op_list *from);

// Runs all of group and sets each one's err. The operations are in it
// afterwards, perhaps in another order (see store_group.c). commits: counts
// transactions that wrote; commit_us: their time.
void store_group_run(struct store_engine *engine, struct op_list *group,
                     uint64_t *commits, uint64_t *commit_us);

#endif
