/* Circular lists of what lies elsewhere; the head is one of the links. */
#ifndef MCPROXY_LIST_H
#define MCPROXY_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

/* What a link lies in. */
#define OWNER_OF(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))
#define CONN_OF(link, member) OWNER_OF(link, struct conn, member)

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
}

#endif
