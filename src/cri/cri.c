#include "cri/cri.h"

#include "cri/private.h"

int cri_open(struct engine *en, struct cri **ret, UNUSED struct err *e)
{
	struct cri *cri = NEW(struct cri);

	cri->en = en;
	*ret = cri;
	return 0;
}

void cri_free(struct cri *cri)
{
	free(cri);
}
