// Kubernetes' own types for the tests. `pull` does what a kubelet does with credential providers: it reads their configuration,
// asks those that match an image, and prints the logins that it got (k8s.io/kubernetes/pkg/credentialprovider/plugin, which cannot
// be imported). `decode` prints the version and kind of each object in a file. `json` prints any YAML as JSON. Unknown and
// duplicated fields are errors.
//
//	kubernetes-peer pull CONFIG BIN_DIR IMAGE <TOKEN
//	kubernetes-peer decode <FILE
//	kubernetes-peer json <FILE
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	configv1 "k8s.io/kubelet/config/v1"
	"k8s.io/kubelet/pkg/apis/credentialprovider"
	"k8s.io/kubelet/pkg/apis/credentialprovider/install"
	sigsyaml "sigs.k8s.io/yaml"
)

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme, serializer.EnableStrict)
)

func init() {
	install.Install(scheme)
	for _, add := range []func(*runtime.Scheme) error{configv1.AddToScheme, corev1.AddToScheme, rbacv1.AddToScheme} {
		utilruntime.Must(add(scheme))
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 4 && arguments[0] == "pull":
		token, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		return pull(arguments[1], arguments[2], arguments[3], string(token))
	case len(arguments) == 1 && arguments[0] == "decode":
		return decodeAll(os.Stdin)
	case len(arguments) == 1 && arguments[0] == "json":
		return printJSON(os.Stdin)
	}
	return errors.New("usage: pull CONFIG BIN_DIR IMAGE <TOKEN, or decode <FILE, or json <FILE")
}

// decodeAll prints the kind of each document of a file.
func decodeAll(file io.Reader) error {
	documents := yaml.NewYAMLReader(bufio.NewReader(file))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		_, kind, err := codecs.UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			return err
		}
		fmt.Printf("%s %s\n", kind.GroupVersion(), kind.Kind)
	}
}

func printJSON(file io.Reader) error {
	text, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	converted, err := sigsyaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", converted)
	return nil
}

func pull(configFile, binDir, image, token string) error {
	text, err := os.ReadFile(configFile)
	if err != nil {
		return err
	}
	object, _, err := codecs.UniversalDeserializer().Decode(text, nil, nil)
	if err != nil {
		return err
	}
	config, ok := object.(*configv1.CredentialProviderConfig)
	if !ok {
		return fmt.Errorf("%s is no CredentialProviderConfig", configFile)
	}
	host, _, _ := strings.Cut(image, "/")
	for _, provider := range config.Providers {
		if !slices.Contains(provider.MatchImages, host) {
			continue
		}
		if err := ask(provider, binDir, image, token); err != nil {
			return fmt.Errorf("%s: %w", provider.Name, err)
		}
	}
	return nil
}

func ask(provider configv1.CredentialProvider, binDir, image, token string) error {
	request := &credentialprovider.CredentialProviderRequest{Image: image}
	if provider.TokenAttributes != nil {
		if required := provider.TokenAttributes.RequireServiceAccount; token == "" && (required == nil || *required) {
			return nil
		}
		request.ServiceAccountToken = token
		request.ServiceAccountAnnotations = map[string]string{"example.com/team": "shop"}
	}
	version, err := schema.ParseGroupVersion(provider.APIVersion)
	if err != nil {
		return err
	}
	media, ok := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), runtime.ContentTypeJSON)
	if !ok {
		return errors.New("no JSON")
	}
	data, err := runtime.Encode(codecs.EncoderForVersion(media.Serializer, version), request)
	if err != nil {
		return err
	}
	plugin := exec.Command(filepath.Join(binDir, provider.Name), provider.Args...)
	plugin.Stdin, plugin.Stderr = bytes.NewReader(data), os.Stderr
	for _, variable := range provider.Env {
		plugin.Env = append(os.Environ(), variable.Name+"="+variable.Value)
	}
	output, err := plugin.Output()
	if err != nil {
		return err
	}
	return check(output, version)
}

// check decodes an answer as the kubelet does, and prints it.
func check(output []byte, version schema.GroupVersion) error {
	object, kind, err := codecs.UniversalDecoder().Decode(output, nil, nil)
	if err != nil {
		return err
	}
	response, ok := object.(*credentialprovider.CredentialProviderResponse)
	if !ok || kind.GroupVersion() != version {
		return fmt.Errorf("the answer is a %s", kind)
	}
	cacheKeyTypes := []credentialprovider.PluginCacheKeyType{
		credentialprovider.ImagePluginCacheKeyType,
		credentialprovider.RegistryPluginCacheKeyType,
		credentialprovider.GlobalPluginCacheKeyType,
	}
	if !slices.Contains(cacheKeyTypes, response.CacheKeyType) {
		return fmt.Errorf("the cache key type is %q", response.CacheKeyType)
	}
	seconds := -1.0
	if response.CacheDuration != nil {
		seconds = response.CacheDuration.Seconds()
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"auth":         response.Auth,
		"cacheKeyType": response.CacheKeyType,
		"cacheSeconds": seconds,
	})
}
