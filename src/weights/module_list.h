/* The modules of a saved ultralytics network: what its pickle says beside the tensors. For
 * src/weights only; asked through tensor_index.h. */
#ifndef WILOR_MODULE_LIST_H
#define WILOR_MODULE_LIST_H

#include "index_build.h"
#include "pickle.h"

/* An object of a class of ultralytics.nn.tasks: a whole network. */
bool wilor_modules_wanted(const wilor_value *v);
/* An object that PyTorch would treat as a module. */
bool wilor_modules_is_one(const wilor_value *v);

/* Take the class and the plain attributes of one module. */
wilor_status wilor_modules_add(wilor_index *x, const char *name, size_t length,
                               const wilor_value *module, wilor_error *err);
/* An attribute that the first module, the network itself, does not have: of its training. */
wilor_status wilor_modules_add_to_root(wilor_index *x, const char *key,
                                       const wilor_value *value, wilor_error *err);
/* Size and names of a network as metadata "imgsz" and "names", for people. */
wilor_status wilor_modules_describe(wilor_index *x, wilor_error *err);
/* Sort the names; after the last module. Refuses a name that comes twice. */
wilor_status wilor_modules_seal(wilor_index *x, wilor_error *err);

#endif
