#include "python_api.h"

#include <memory>
#include <mutex>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace vrt::py {
namespace {

void *symbol(const char *name) {
#ifdef _WIN32
    HMODULE python = GetModuleHandleA("python3.dll");
    return python ? reinterpret_cast<void *>(GetProcAddress(python, name)) : nullptr;
#else
    return dlsym(RTLD_DEFAULT, name);
#endif
}

struct Loaded {
    Api api{};
    std::string missing;

    template <typename Function>
    void find(Function &function, const char *name) {
        function = reinterpret_cast<Function>(symbol(name));
        if (!function && missing.empty()) missing = name;
    }

    Loaded() {
#define VRT_FIND(name) find(api.name, #name)
        VRT_FIND(Py_IsInitialized);
        VRT_FIND(PyGILState_Ensure);
        VRT_FIND(PyGILState_Release);
        VRT_FIND(Py_IncRef);
        VRT_FIND(Py_DecRef);
        VRT_FIND(PyImport_ImportModule);
        VRT_FIND(PyObject_GetAttrString);
        VRT_FIND(PyObject_CallObject);
        VRT_FIND(PyObject_Str);
        VRT_FIND(PyDict_New);
        VRT_FIND(PyDict_SetItemString);
        VRT_FIND(PyList_New);
        VRT_FIND(PyList_Append);
        VRT_FIND(PyList_Size);
        VRT_FIND(PyList_GetItem);
        VRT_FIND(PyTuple_New);
        VRT_FIND(PyTuple_SetItem);
        VRT_FIND(PyTuple_GetItem);
        VRT_FIND(PyLong_FromLongLong);
        VRT_FIND(PyLong_AsLongLong);
        VRT_FIND(PyFloat_FromDouble);
        VRT_FIND(PyFloat_AsDouble);
        VRT_FIND(PyUnicode_DecodeUTF8);
        VRT_FIND(PyUnicode_AsUTF8AndSize);
        VRT_FIND(PyMemoryView_FromMemory);
        VRT_FIND(PyErr_Fetch);
        VRT_FIND(PyErr_NormalizeException);
        VRT_FIND(PyErr_Clear);
#undef VRT_FIND
        void *finalizing = symbol("Py_IsFinalizing");
        if (!finalizing) finalizing = symbol("_Py_IsFinalizing");
        api.Py_IsFinalizing = reinterpret_cast<int (*)()>(finalizing);
    }
};

}  // namespace

const Api *api(std::string &reason) {
    // A host may load Python after the plugin, so a failed look-up is not remembered.
    static std::mutex mutex;
    static std::unique_ptr<const Loaded> loaded;
    std::lock_guard<std::mutex> lock(mutex);
    if (!loaded || !loaded->missing.empty()) loaded = std::make_unique<const Loaded>();
    if (loaded->missing.empty()) return &loaded->api;
    reason = "vrt: this process has no Python (symbol " + loaded->missing +
             " not found); run the script with `vspipe` or `python`";
    return nullptr;
}

Gil::Gil(const Api *api) : python(api) {
    if (!python || !python->Py_IsInitialized()) return;
    if (python->Py_IsFinalizing && python->Py_IsFinalizing()) return;
    state = python->PyGILState_Ensure();
    held = true;
}

Gil::~Gil() {
    if (held) python->PyGILState_Release(state);
}

}  // namespace vrt::py
