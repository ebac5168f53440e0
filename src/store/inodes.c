#include "store/inodes.h"

#include "base/mem.h"

/* Open addressing, at most half full. */
static struct inode *slot(struct inode *v, size_t cap, const struct stat *st)
{
	size_t i = (st->st_ino * 0x9E3779B97F4A7C15u ^ st->st_dev) & (cap - 1);

	while (v[i].ino && (v[i].ino != st->st_ino || v[i].dev != st->st_dev))
		i = (i + 1) & (cap - 1);
	return &v[i];
}

/* The entry of st's inode; new ones have ino 0 and must be filled by the caller. */
static struct inode *inodes_find(struct inodes *s, const struct stat *st)
{
	if (s->n * 2 >= s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct inode *v = xcalloc(cap, sizeof *v);

		for (size_t i = 0; i < s->cap; i++)
			if (s->v[i].ino) {
				struct stat old = { .st_ino = s->v[i].ino, .st_dev = s->v[i].dev };

				*slot(v, cap, &old) = s->v[i];
			}
		free(s->v);
		s->v = v;
		s->cap = cap;
	}
	return slot(s->v, s->cap, st);
}

bool inodes_add(struct inodes *s, const struct stat *st, struct inode **ret)
{
	struct inode *i = inodes_find(s, st);
	bool is_new = i->ino == 0;

	if (is_new) {
		i->ino = st->st_ino;
		i->dev = st->st_dev;
		s->n++;
	}
	*ret = i;
	return is_new;
}

void inodes_done(struct inodes *s)
{
	for (size_t i = 0; i < s->cap; i++)
		free(s->v[i].path);
	free(s->v);
}
