#!/usr/bin/env python3
"""Further variants of weights files for tests/golden/test_formats.c, beside the fixtures' own.

    make_format_cases.py tests/golden/data/formats

writes extra_* files with their FILE.expected.json: what PyTorch really writes for modules, subclasses
and rare types, and files that unfold to far more than they hold. Needs torch and numpy; the values are
synthetic. The form of the json is that of the fixtures: verdict, why, tensors (shape, dtype, first
values, sha256 of the row-major values as float32 or int64)."""
import collections, hashlib, json, os, pickle, struct, sys, types, zipfile, zlib
import numpy as np
import torch

OUT = sys.argv[1]
NAMES = {'float32': 'F32', 'float64': 'F64', 'int64': 'I64', 'uint16': 'U16', 'uint32': 'U32', 'uint64': 'U64',
         'complex64': 'C64', 'float8_e4m3fn': 'F8_E4M3', 'int32': 'I32'}


def describe(t):
    t = torch.as_tensor(np.array(t) if isinstance(t, np.ndarray) else t).detach()
    name = NAMES[str(t.dtype).split('.')[1]]
    out = dict(shape=list(t.shape), dtype=name)
    if name in ('C64', 'F8_E4M3'):
        return out
    real = t.dtype.is_floating_point
    v = t.contiguous().to(torch.float32 if real else torch.int64).numpy()
    return dict(out, first=v.ravel()[:6].tolist(), **{'sha256_f32' if real else 'sha256_i64': hashlib.sha256(v.tobytes()).hexdigest()})


def case(name, why, tensors=None):
    e = dict(file=name, verdict='ok' if tensors is not None else 'error', why=why)
    if tensors is not None:
        e['tensors'] = {k: describe(v) for k, v in tensors.items()}
    with open(os.path.join(OUT, name + '.expected.json'), 'w') as f:
        json.dump(e, f, indent=1)


def save(name, content, why, tensors=None, **more):
    name = f'extra_{name}.ckpt'
    torch.save(content, os.path.join(OUT, name), **more)
    case(name, why, tensors)


class Sub(torch.Tensor):
    pass


def good():
    t = torch.arange(6.).reshape(2, 3)
    kinds = {'u16': torch.uint16, 'u32': torch.uint32, 'u64': torch.uint64, 'c': torch.complex64, 'f8': torch.float8_e4m3fn}
    d = {k: t.to(v) for k, v in kinds.items()}
    save('types', {'state_dict': d}, 'types without a storage class of their own', d)
    save('subclass', {'state_dict': {'s': t.as_subclass(Sub)}}, 'a subclass of Tensor', {'s': t})
    save('bare', t, 'one tensor, no dictionary', {'tensor': t})
    save('list', [t, {'x': t + 1}], 'a list of tensors and dictionaries', {'0': t, '1.x': t + 1})
    torch.manual_seed(1)
    m = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    save('module', m, 'a whole module', m.state_dict())
    save('model_key', {'model': {'a.w': t}, 'optimizer': {'s': t}}, "the weights under 'model'", {'a.w': t})
    save('top', {'a.w': t, 'nested': {'b': t, 'l': [t, t]}}, 'no state_dict at all', {'a.w': t, 'nested.b': t, 'nested.l.0': t, 'nested.l.1': t})
    p = torch.nn.Parameter(t)
    p.note = 3
    save('parameter_state', {'state_dict': {'p': p}}, 'a Parameter with an attribute', {'p': t})
    a = dict(a=np.arange(3), big=np.arange(4, dtype='>f4'), none=np.zeros((0, 3)))
    with open(os.path.join(OUT, 'extra_dict.pkl'), 'wb') as f:
        pickle.dump(collections.OrderedDict(a), f, 4)
    case('extra_dict.pkl', 'an ordered dictionary; big-endian and empty arrays', {k: v.astype(v.dtype.newbyteorder('=')) for k, v in a.items()})


def bad():
    t = torch.arange(6.).reshape(2, 3)
    save('sparse', {'state_dict': {'s': t.to_sparse()}}, 'a sparse tensor')
    save('negated', {'state_dict': {'n': torch._neg_view(t)}}, 'a tensor stored with the opposite sign')
    save('quantised', {'state_dict': {'q': torch.quantize_per_tensor(t, .1, 0, torch.qint8)}}, 'a quantised tensor')
    save('expanded', {'state_dict': {'x': torch.zeros(1).expand(1 << 20, 1 << 10)}}, '4 bytes seen as 4 GB')
    d = {'w': t}
    for _ in range(40):
        d = {'a': d, 'b': d}
    save('shared_tree', {'state_dict': d}, '2^40 paths to one tensor')
    loop = []
    loop.append(loop)
    save('cycle', {'state_dict': {'l': loop, 'w': t}}, 'a list that holds itself')
    save('long_name', {'state_dict': {'x' * 5000: t}}, 'a name of 5000 bytes')
    save('nothing', {'state_dict': {}, 'epoch': 3}, 'no tensors')
    # A directory that promises more than deflate can hold.
    body = zlib.compress(bytes(5000), 9)[2:-4]
    path = os.path.join(OUT, 'extra_bomb.npz')
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z:
        z.writestr(zipfile.ZipInfo('a.npy'), bytes(5000), zipfile.ZIP_DEFLATED)
    with open(path, 'rb') as f:
        data = f.read()
    at = data.index(b'PK\1\2') + 24
    with open(path, 'wb') as f:
        f.write(data[:at] + struct.pack('<I', 200 << 20) + data[at + 4:])
    case('extra_bomb.npz', f'{len(body)} bytes that claim to unpack to 200 MB')


def stand_in(module, name):
    """A class that pickles under a name of scipy or chumpy: the files need only its attributes."""
    cls = type(name, (), {'__module__': module, '__init__': lambda self, **k: self.__dict__.update(k)})
    parts = module.split('.')
    for i in range(1, len(parts) + 1):
        sys.modules.setdefault('.'.join(parts[:i]), types.ModuleType('.'.join(parts[:i])))
    setattr(sys.modules[module], name, cls)
    return cls


def dump(name, content, why, tensors=None):
    name = f'extra_{name}.pkl'
    with open(os.path.join(OUT, name), 'wb') as f:
        pickle.dump(content, f, 2)
    case(name, why, tensors)


def hands():
    Csc, Ch, Select = stand_in('scipy.sparse.csc', 'csc_matrix'), stand_in('chumpy.ch', 'Ch'), stand_in('chumpy.reordering', 'Select')
    i4 = lambda *v: np.array(v, np.int32)
    csc = lambda **k: {'J': Csc(**dict(dict(_shape=(2, 3), data=np.array([1., 2, 3]), indices=i4(0, 1, 1), indptr=i4(0, 1, 2, 3)), **k))}
    dump('csc', csc(), 'a sparse matrix', {'J': np.array([[1., 0, 0], [0, 2, 3]])})
    for name, why, k in (('rows', 'a row that does not exist', dict(indices=i4(0, 1, 2))), ('starts', 'columns that begin beyond the data', dict(indptr=i4(0, 1, 2, 9))),
                         ('backwards', 'columns that begin at negative places', dict(indptr=i4(-5, 1, 2, 3))), ('columns', 'a column too few', dict(indptr=i4(0, 1, 3))),
                         ('short', 'fewer values than rows', dict(data=np.array([1.]))), ('huge', '10^12 elements', dict(_shape=(10 ** 6, 10 ** 6))),
                         ('empty', 'no data at all', dict(data=None)), ('shape', 'three dimensions', dict(_shape=(1, 2, 3)))):
        dump('csc_' + name, csc(**k), 'a sparse matrix with ' + why)
    a = np.arange(12.).reshape(3, 4)
    sel = lambda **k: {'s': Select(**dict(dict(a=Ch(x=a), idxs=np.array([5, 0, 11]), preferred_shape=(3, 1)), **k))}
    dump('select', sel(a=Ch(x=np.asfortranarray(a))), 'elements chosen from an array in Fortran order', {'s': np.array([[5.], [0], [11]])})
    deep = a
    for _ in range(20):
        deep = Ch(x=deep)
    for name, why, k in (('outside', 'an element too far', dict(idxs=np.array([0, 1, 12]))), ('negative', 'a negative place', dict(idxs=np.array([0, -1, 1]))),
                         ('shape', 'a shape for more elements', dict(preferred_shape=(2, 2))), ('shape_huge', 'a shape that overflows', dict(preferred_shape=(1 << 40, 1 << 40))),
                         ('list', 'places that are no array', dict(idxs=[0, 1, 2])), ('alone', 'no array', dict(a=None)), ('deep', '20 expressions in each other', dict(a=deep))):
        dump('select_' + name, sel(**k), 'a selection with ' + why)
    o = np.empty(1, object)
    dump('objects', {'o': o}, 'an array of objects')
    hand = dict(v_template=np.arange(6.).reshape(2, 3), J_regressor=Csc(_shape=(1, 2), data=np.array([1.]), indices=i4(0), indptr=i4(0, 1, 1)), posedirs=np.asfortranarray(np.arange(12.).reshape(2, 3, 2)),
                kintree_table=np.array([[4294967295], [0]], np.uint32), weights=np.ones((2, 1)), f=np.arange(3, dtype=np.uint32).reshape(1, 3))
    dump('hand', hand, 'the least that is a hand; pose basis in Fortran order', dict(hand, J_regressor=np.array([[1., 0]])))


good()
bad()
hands()
