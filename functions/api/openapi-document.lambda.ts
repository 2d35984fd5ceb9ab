import { apiHandler } from '../edge/http.ts';
import { openApi } from './openapi-document.ts';

export const handler = apiHandler('openapi-document', openApi());
