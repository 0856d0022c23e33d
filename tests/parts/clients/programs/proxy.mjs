// For `node --import`: the fetch of an old Node takes the proxy from the environment.
import {EnvHttpProxyAgent, setGlobalDispatcher} from 'undici';

setGlobalDispatcher(new EnvHttpProxyAgent());
