#include "bridge.h"

#include <initializer_list>

namespace vrt {

using py::Api;
using py::Gil;
using py::Object;
using py::Ref;

// Owns the Python object of one step of a call.
class Restoration {
  public:
    Restoration(const Api &api, Object *object) : python(&api), object(object) {}
    ~Restoration() {
        Gil gil(python);
        if (gil.ok()) python->Py_DecRef(object);  // else the interpreter is gone, and so is the object
    }
    Restoration(const Restoration &) = delete;
    Restoration &operator=(const Restoration &) = delete;

    const Api *const python;
    Object *const object;
};

namespace {

const char *const kGone = "vrt: Python is shutting down; `ask for frames before the script ends`";

Ref number(const Api &p, long long value) { return Ref(p, p.PyLong_FromLongLong(value)); }

Ref text(const Api &p, const char *data, py::Size size) {
    return Ref(p, p.PyUnicode_DecodeUTF8(data, size, "replace"));
}

Ref text(const Api &p, const std::string &value) { return text(p, value.data(), static_cast<py::Size>(value.size())); }

Ref tuple(const Api &p, std::initializer_list<Ref *> items) {
    Ref result(p, p.PyTuple_New(static_cast<py::Size>(items.size())));
    py::Size index = 0;
    for (Ref *item : items) p.PyTuple_SetItem(result.get(), index++, item->release());
    return result;
}

// A reference of our own to an object that somebody else owns.
Ref borrowed(const Api &p, Object *object) {
    p.Py_IncRef(object);
    return Ref(p, object);
}

Ref list(const Api &p) { return Ref(p, p.PyList_New(0)); }

void append(const Api &p, const Ref &list, const Ref &item) { p.PyList_Append(list.get(), item.get()); }

std::string to_string(const Api &p, Object *object) {
    py::Size size = 0;
    const char *data = object ? p.PyUnicode_AsUTF8AndSize(object, &size) : nullptr;
    if (data) return std::string(data, static_cast<size_t>(size));
    p.PyErr_Clear();
    return "";
}

std::string attribute_text(const Api &p, Object *object, const char *name) {
    Ref value(p, p.PyObject_GetAttrString(object, name));
    return to_string(p, value.get());
}

int attribute(const Api &p, Object *object, const char *name) {
    Ref value(p, p.PyObject_GetAttrString(object, name));
    return value ? static_cast<int>(p.PyLong_AsLongLong(value.get())) : 0;
}

// The pending Python exception as text. Only what bridge.py could not catch comes here: it cannot be imported.
std::string pending_error(const Api &p) {
    Object *type = nullptr, *value = nullptr, *trace = nullptr;
    p.PyErr_Fetch(&type, &value, &trace);
    p.PyErr_NormalizeException(&type, &value, &trace);
    Ref owned_type(p, type), owned_value(p, value), owned_trace(p, trace);
    Ref words(p, value ? p.PyObject_Str(value) : nullptr);
    return words ? to_string(p, words.get()) : "unknown error";
}

std::vector<Entry> to_entries(const Api &p, Object *rows) {
    std::vector<Entry> entries;
    for (py::Size row = 0; row < p.PyList_Size(rows); ++row) {
        Object *item = p.PyList_GetItem(rows, row);
        Object *values = p.PyTuple_GetItem(item, 2);
        const std::string type = to_string(p, p.PyTuple_GetItem(item, 1));
        Entry entry{to_string(p, p.PyTuple_GetItem(item, 0)), type.empty() ? 's' : type[0], {}, {}, {}};
        for (py::Size i = 0; i < p.PyList_Size(values); ++i) {
            Object *value = p.PyList_GetItem(values, i);
            switch (entry.type) {
                case 'i': entry.ints.push_back(p.PyLong_AsLongLong(value)); break;
                case 'f': entry.floats.push_back(p.PyFloat_AsDouble(value)); break;
                default: entry.strings.push_back(to_string(p, value));
            }
        }
        entries.push_back(std::move(entry));
    }
    return entries;
}

// Calls bridge.<function>(*arguments). It never raises: it answers (error, where, value).
Ref call(const Api &p, const char *function, const Ref &arguments, Outcome &outcome) {
    Ref module(p, p.PyImport_ImportModule("vs_vrt.filters.bridge"));
    Ref callee(p, module ? p.PyObject_GetAttrString(module.get(), function) : nullptr);
    Ref answer(p, callee ? p.PyObject_CallObject(callee.get(), arguments.get()) : nullptr);
    if (!answer) {
        outcome.error = "vrt: the Python of this process cannot load vs_vrt (" + pending_error(p) +
                        "); `python -m pip install .` in the folder of vs-vrt, with that Python";
        return Ref(p, nullptr);
    }
    outcome.error = to_string(p, p.PyTuple_GetItem(answer.get(), 0));
    outcome.where = to_string(p, p.PyTuple_GetItem(answer.get(), 1));
    return outcome.error.empty() ? borrowed(p, p.PyTuple_GetItem(answer.get(), 2)) : Ref(p, nullptr);
}

// A clip as the Python side sees it: what its VSVideoInfo says. A variable property is 0.
Ref clip_facts(const Api &p, const VSVideoInfo &vi) {
    const VSVideoFormat &f = vi.format;
    Ref facts = list(p);
    for (int64_t value :
         {int64_t(vi.width), int64_t(vi.height), int64_t(vi.numFrames), vi.fpsNum, vi.fpsDen, int64_t(f.colorFamily),
          int64_t(f.sampleType), int64_t(f.bitsPerSample), int64_t(f.subSamplingW), int64_t(f.subSamplingH)})
        append(p, facts, number(p, value));
    return facts;
}

// A map of arguments as {name: [values]}; a clip becomes its facts.
Ref to_dict(const Api &p, const VSMap *in, const VSAPI *vsapi) {
    Ref dict(p, p.PyDict_New());
    for (int k = 0; k < vsapi->mapNumKeys(in); ++k) {
        const char *key = vsapi->mapGetKey(in, k);
        Ref values = list(p);
        for (int i = 0; i < vsapi->mapNumElements(in, key); ++i) {
            switch (vsapi->mapGetType(in, key)) {
                case ptInt: append(p, values, number(p, vsapi->mapGetInt(in, key, i, nullptr))); break;
                case ptFloat:
                    append(p, values, Ref(p, p.PyFloat_FromDouble(vsapi->mapGetFloat(in, key, i, nullptr))));
                    break;
                case ptData:
                    append(p, values,
                           text(p, vsapi->mapGetData(in, key, i, nullptr), vsapi->mapGetDataSize(in, key, i, nullptr)));
                    break;
                case ptVideoNode: {
                    VSNode *node = vsapi->mapGetNode(in, key, i, nullptr);
                    append(p, values, clip_facts(p, *vsapi->getVideoInfo(node)));
                    vsapi->freeNode(node);
                    break;
                }
                default: break;
            }
        }
        p.PyDict_SetItemString(dict.get(), key, values.get());
    }
    return dict;
}

// Planes as (memory, width, height, stride, type), in a list.
Ref to_list(const Api &p, const std::vector<Plane> &planes) {
    constexpr int kRead = 0x100, kWrite = 0x200;  // PyBUF_READ, PyBUF_WRITE
    Ref result = list(p);
    for (const Plane &plane : planes) {
        Ref memory(p, p.PyMemoryView_FromMemory(reinterpret_cast<char *>(plane.data), plane.stride * plane.height,
                                                plane.writable ? kWrite : kRead));
        Ref width = number(p, plane.width), height = number(p, plane.height), stride = number(p, plane.stride);
        Ref type = text(p, std::string(plane.type));
        append(p, result, tuple(p, {&memory, &width, &height, &stride, &type}));
    }
    return result;
}

Step to_step(const Api &p, Object *list, py::Size index) {
    Ref item = borrowed(p, p.PyList_GetItem(list, index));
    Object *object = item.get();
    Step step{};
    step.grid = {attribute(p, object, "num_frames"), static_cast<Sharing>(attribute(p, object, "sharing")),
                 attribute(p, object, "length"), attribute(p, object, "overlap"), attribute(p, object, "stride")};
    step.width = attribute(p, object, "width");
    step.height = attribute(p, object, "height");
    step.factor = attribute(p, object, "factor");
    step.made = attribute(p, object, "made");
    step.format = attribute(p, object, "format");
    step.carrier = attribute(p, object, "carrier");
    step.nodes = attribute(p, object, "nodes");
    step.matrix = attribute(p, object, "matrix");
    step.message = attribute_text(p, object, "message");
    step.restoration = std::make_shared<Restoration>(p, item.release());
    return step;
}

// What `ask(api, outcome)` finds out under the GIL, where there is a Python to ask.
template <class Ask>
Outcome ask_python(const Ask &ask) {
    Outcome outcome;
    const Api *p = py::api(outcome.error);
    if (!p) return outcome;
    Gil gil(p);
    if (!gil.ok()) return outcome.error = kGone, outcome;
    ask(*p, outcome);
    return outcome;
}

}  // namespace

Outcome query(const char *function, const char *plugin_version) {
    return ask_python([&](const Api &p, Outcome &outcome) {
        Ref name = text(p, std::string(function)), version = text(p, std::string(plugin_version));
        Ref value = call(p, "query", tuple(p, {&name, &version}), outcome);
        if (value) outcome.entries = to_entries(p, value.get());
    });
}

Outcome plan(const char *function, const VSMap *in, const VSAPI *vsapi, std::vector<Step> &steps) {
    return ask_python([&](const Api &p, Outcome &outcome) {
        Ref name = text(p, std::string(function)), arguments = to_dict(p, in, vsapi);
        Ref list = call(p, "plan", tuple(p, {&name, &arguments}), outcome);
        for (py::Size i = 0; list && i < p.PyList_Size(list.get()); ++i) steps.push_back(to_step(p, list.get(), i));
    });
}

Outcome describe(const VSMap *in, const VSAPI *vsapi) {
    return ask_python([&](const Api &p, Outcome &outcome) {
        Ref arguments = to_dict(p, in, vsapi);
        Ref value = call(p, "describe", tuple(p, {&arguments}), outcome);
        if (value) outcome.entries = to_entries(p, value.get());
    });
}

Outcome restore_window(const Restoration &restoration, const WindowFrames &window) {
    Outcome outcome;
    const Api &p = *restoration.python;
    Gil gil(&p);
    if (!gil.ok()) return outcome.error = kGone, outcome;
    Ref inputs = list(p), outputs = list(p);
    for (const InputFrame &frame : window.inputs) {
        Ref planes = to_list(p, frame.planes), noise = to_list(p, frame.noise);
        Ref prev = number(p, frame.scene_prev), next = number(p, frame.scene_next);
        append(p, inputs, tuple(p, {&planes, &prev, &next, &noise}));
    }
    for (const std::vector<Plane> &planes : window.outputs) append(p, outputs, to_list(p, planes));
    Ref self = borrowed(p, restoration.object), node = number(p, window.node);
    Ref begin = number(p, window.begin), first = number(p, window.first);
    Ref value = call(p, "restore_window", tuple(p, {&self, &node, &begin, &first, &inputs, &outputs}), outcome);
    if (!value) return outcome;
    Object *frames = p.PyTuple_GetItem(value.get(), 0), *notes = p.PyTuple_GetItem(value.get(), 1);
    for (py::Size i = 0; i < p.PyList_Size(frames); ++i)
        outcome.properties.push_back(to_entries(p, p.PyList_GetItem(frames, i)));
    for (py::Size i = 0; i < p.PyList_Size(notes); ++i)
        outcome.notes.push_back(to_string(p, p.PyList_GetItem(notes, i)));
    return outcome;
}

void log_notes(const Outcome &outcome, VSCore *core, const VSAPI *vsapi) {
    for (const std::string &note : outcome.notes) vsapi->logMessage(mtInformation, note.c_str(), core);
    if (!outcome.where.empty()) vsapi->logMessage(mtWarning, ("vrt: raised at " + outcome.where).c_str(), core);
}

void set_entries(const std::vector<Entry> &entries, VSMap *map, const VSAPI *vsapi) {
    for (const Entry &entry : entries) {
        const char *key = entry.key.c_str();
        vsapi->mapDeleteKey(map, key);
        for (int64_t value : entry.ints) vsapi->mapSetInt(map, key, value, maAppend);
        for (double value : entry.floats) vsapi->mapSetFloat(map, key, value, maAppend);
        for (const std::string &value : entry.strings)
            vsapi->mapSetData(map, key, value.data(), static_cast<int>(value.size()), dtUtf8, maAppend);
        if (vsapi->mapNumElements(map, key) < 0)
            vsapi->mapSetEmpty(map, key, entry.type == 'i' ? ptInt : entry.type == 'f' ? ptFloat : ptData);
    }
}

}  // namespace vrt
