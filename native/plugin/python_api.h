// The part of Python's stable ABI that the plugin calls, found with dlsym at first use.
//
// Nothing of Python is linked: the plugin loads in a host without Python, and one build serves every version.
#pragma once

#include <cstddef>
#include <string>

namespace vrt::py {

struct Object;  // PyObject, never looked into
struct ThreadState;
using Size = std::ptrdiff_t;

struct Api {
    int (*Py_IsInitialized)();
    int (*PyGILState_Ensure)();
    void (*PyGILState_Release)(int);
    void (*Py_IncRef)(Object *);
    void (*Py_DecRef)(Object *);
    Object *(*PyImport_ImportModule)(const char *);
    Object *(*PyObject_GetAttrString)(Object *, const char *);
    Object *(*PyObject_CallObject)(Object *, Object *);
    Object *(*PyObject_Str)(Object *);
    Object *(*PyDict_New)();
    int (*PyDict_SetItemString)(Object *, const char *, Object *);
    Object *(*PyList_New)(Size);
    int (*PyList_Append)(Object *, Object *);
    Size (*PyList_Size)(Object *);
    Object *(*PyList_GetItem)(Object *, Size);
    Object *(*PyTuple_New)(Size);
    int (*PyTuple_SetItem)(Object *, Size, Object *);
    Object *(*PyTuple_GetItem)(Object *, Size);
    Object *(*PyLong_FromLongLong)(long long);
    long long (*PyLong_AsLongLong)(Object *);
    Object *(*PyFloat_FromDouble)(double);
    double (*PyFloat_AsDouble)(Object *);
    Object *(*PyUnicode_DecodeUTF8)(const char *, Size, const char *);
    const char *(*PyUnicode_AsUTF8AndSize)(Object *, Size *);
    Object *(*PyMemoryView_FromMemory)(char *, Size, int);
    void (*PyErr_Fetch)(Object **, Object **, Object **);
    void (*PyErr_NormalizeException)(Object **, Object **, Object **);
    void (*PyErr_Clear)();
    int (*Py_IsFinalizing)();  // may be null: its name differs between versions
};

// The process's Python, or nullptr with a reason that can be shown to the user.
const Api *api(std::string &reason);

// Holds the GIL while it lives. `ok()` is false where Python is not running (any more): then touch nothing of it.
class Gil {
  public:
    explicit Gil(const Api *api);
    ~Gil();
    Gil(const Gil &) = delete;
    Gil &operator=(const Gil &) = delete;
    bool ok() const { return held; }

  private:
    const Api *python;
    bool held = false;
    int state = 0;
};

// An owned reference; made, moved and destroyed only while the GIL is held.
class Ref {
  public:
    Ref(const Api &api, Object *object) : python(&api), object(object) {}
    Ref(Ref &&other) noexcept : python(other.python), object(other.release()) {}
    Ref(const Ref &) = delete;
    Ref &operator=(const Ref &) = delete;
    ~Ref() {
        if (object) python->Py_DecRef(object);
    }
    Object *get() const { return object; }
    explicit operator bool() const { return object != nullptr; }
    Object *release() {
        Object *given = object;
        object = nullptr;
        return given;
    }

  private:
    const Api *python;
    Object *object;
};

}  // namespace vrt::py
